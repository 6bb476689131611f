"""A catalog over gRPC.

app              wiring, start and stop
settings         what a server may be told
bind             the port: one server each
calls            who asks, under which id: what is known of the call being answered
pools            threads, and how much may wait for them
handlers         how interceptors wrap a method
request_log      request ids, one line per call, counters
errors           exceptions -> status codes
authentication   tokens -> principals
admission        overload and deadlines
uris             files below the media root
inputs           inputs of queries
intake           the queue between a stream and its commits
services/        one file per service
"""
