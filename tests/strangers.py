"""Real peers of other makers, for tests: DCMTK, Orthanc, pynetdicom, dcmjs-dimse."""
