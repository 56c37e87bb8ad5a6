"""CoAP over DTLS 1.2 (RFC 6347, RFC 7252 section 9), by OpenSSL through pyOpenSSL, without a compiler.

OpenSSL offers no Connection ID and, through this binding, no raw public keys: pre-shared keys and
X.509 certificates are what is here.
"""
