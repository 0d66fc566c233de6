"""From ``messages.toml`` to both codecs: `table` reads and checks, `python_code` and `c_code` write."""
