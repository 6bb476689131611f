"""Generated messages and stubs of `trichord.v1`; made by `make proto`, never edited."""
