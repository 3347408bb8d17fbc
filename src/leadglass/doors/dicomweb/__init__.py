"""The DICOMweb door: PS3.18 over the archive."""
