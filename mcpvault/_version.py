"""The version, as a literal: reading package metadata would cost start-up time."""

VERSION = "0.1.0"
