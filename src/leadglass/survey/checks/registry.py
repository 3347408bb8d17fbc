"""The one list of checks, in the order in which they are made at an endpoint."""

from typing import Final

from leadglass.survey.check import Check
from leadglass.survey.checks import (
    dicom_answers,
    dicom_certificate,
    dicom_clear,
    dicom_honeypot,
    dicom_identity,
    dicom_query,
    dicom_services,
    dicom_titles,
    dicom_tls,
    dicom_version,
    dicomweb_null_match,
    directory_listing,
    ftp_anonymous,
    greeting,
    http_identify,
    nfs_exports,
    open_store,
    orthanc_rest,
    portal_in_clear,
    rsync_modules,
    smb_guest,
    volume,
    volume_dicom,
    web_credentials,
)

CHECKS: Final[tuple[Check, ...]] = (
    smb_guest.CHECK,  # where only these are at home: nothing else is said to whom they know
    nfs_exports.CHECK,
    dicom_answers.CHECK,
    dicom_titles.CHECK,  # what it opens, those after it go through
    dicom_version.CHECK,
    dicom_tls.CHECK,
    dicom_certificate.CHECK,
    dicom_clear.CHECK,
    dicom_services.CHECK,
    dicom_query.CHECK,
    volume_dicom.CHECK,
    dicom_identity.CHECK,
    dicom_honeypot.CHECK,
    http_identify.CHECK,  # those of the web go by what it says
    portal_in_clear.CHECK,
    dicomweb_null_match.CHECK,
    orthanc_rest.CHECK,
    directory_listing.CHECK,
    open_store.WEBDAV,
    open_store.BUCKET,
    volume.CHECK,
    web_credentials.CHECK,
    greeting.CHECK,  # those of shares go by what it hears
    ftp_anonymous.CHECK,
    rsync_modules.CHECK,
)
"""A check that is not in it is not run. What one learns, those after it know."""
