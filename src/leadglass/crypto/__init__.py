"""Sealed objects, key wrapping, the private certificate authority and one TLS profile. Knows nothing of DICOM."""
