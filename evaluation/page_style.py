"""The look of the report."""

STYLE = """
:root { color-scheme: light; --ink: #222; --soft: #667; --line: #dde1e7; --met: #22683f;
  --failed: #a8322a; --blue: #2a5db0; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #fff;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
header, main { max-width: 1080px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 28px; border-bottom: 1px solid var(--line); padding-bottom: 16px; }
h1 { font-size: 24px; margin: 0 0 14px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 34px 0 10px; }
h3 { font-size: 15px; margin: 0; overflow-wrap: anywhere; }
h4 { font-size: 12px; margin: 8px 0 2px; color: var(--soft); font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
ul.notes { margin: 12px 0 0; padding-left: 18px; color: var(--soft); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 4px 16px 4px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; white-space: nowrap; }
thead th { color: var(--soft); font-weight: 600; }
tbody th { font-weight: 500; }
td.n, span.n { font-variant-numeric: tabular-nums; }
small { color: var(--soft); font-size: 12px; }
.wide { overflow-x: auto; }
.met { color: var(--met); } .failed { color: var(--failed); } .unjudged { color: var(--soft); }
figure { margin: 0; } figure svg { max-width: 100%; height: auto; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(420px, 1fr)); gap: 14px; }
article { border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; }
article p { margin: 2px 0; }
article img { max-height: 120px; max-width: 100%; border-radius: 4px; display: block; }
article audio { width: 100%; height: 34px; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 14px; }
.two ol, .two ul { margin: 0; padding: 0; list-style: none; font-size: 13px; }
.two li { overflow-wrap: anywhere; }
main { padding-bottom: 60px; }
@media (max-width: 620px) { .cards, .two { grid-template-columns: 1fr; } }
"""
