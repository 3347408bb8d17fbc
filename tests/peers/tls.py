"""A TLS context for a peer that receives: it shows its certificate and demands the archive's."""

import ssl

from tests.peers.running import Credentials


def server_context(credentials: Credentials) -> ssl.SSLContext:
    """Give a TLS server context that shows ``credentials`` and wants a certificate of their authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(credentials.authority))
    context.load_cert_chain(str(credentials.certificate), str(credentials.key))
    context.verify_mode = ssl.CERT_REQUIRED
    return context
