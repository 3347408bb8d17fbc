"""The DIMSE door: Verification, Storage and Query/Retrieve as SCP, over our own wire."""
