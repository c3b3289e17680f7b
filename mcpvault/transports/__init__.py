"""Carriers: bytes on a wire (``streamable_http``) or a pipe (``stdio``)."""
