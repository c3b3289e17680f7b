"""
The rooms of ``FakeAuthorizationServer``: one endpoint or one judgement per module, strict where the RFCs say MUST.

Nothing here listens: each endpoint takes a request and returns a ``Reply`` or raises an ``OAuthRefusal``.
"""
