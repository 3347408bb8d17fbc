"""Pure DICOM: no policy, no configuration, no I/O but a source it is handed."""
