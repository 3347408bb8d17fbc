"""The web door's foundation: DICOMweb, sign-in and pages stand on it."""
