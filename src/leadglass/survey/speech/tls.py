"""TLS, as the survey speaks it: whatever the other side has is listened to, and nothing is trusted.

Rule: a certificate that proves nothing is no reason to look away; what is sent over
such a connection is nothing that anybody may not read.
"""

import ssl
import warnings


def lenient_context() -> ssl.SSLContext:
    """Give a client's context that takes any certificate and any version this machine's OpenSSL still speaks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # to see an old version one has to offer it
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context
