"""Definitions of joint spaces that come with Trichord, one TOML file each."""
