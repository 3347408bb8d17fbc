import pytest
from starlette.requests import Request

from leadglass.doors.dicomweb.paths import service_url


def _url(host: str, *, address: str = "", is_direct: bool = True, port: int = 8443) -> str:
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "https",
        "path": "/",
        "query_string": b"",
        "headers": [(b"host", host.encode())],
        "server": ("10.0.0.1", port),
        "leadglass.direct": "10.0.0.2",
        "leadglass.peer": "10.0.0.2" if is_direct else "10.9.9.9",
        "leadglass.address": address,
    }
    return service_url(Request(scope))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (_url("pacs.example:8443"), "https://pacs.example:8443/dicom-web"),
        (_url("[::1]:8443"), "https://[::1]:8443/dicom-web"),
        (_url("pacs.example", port=443), "https://pacs.example/dicom-web"),
        (_url("pacs.example:"), "https://pacs.example:8443/dicom-web"),
        # dicomweb-client leaves out every port
        (_url("pacs.example"), "https://pacs.example:8443/dicom-web"),
        (_url("pacs.example", is_direct=False), "https://pacs.example/dicom-web"),
        (_url("pacs.example", address="https://pacs.example"), "https://pacs.example/dicom-web"),
        (_url("pacs.example", address="https://pacs.example:444"), "https://pacs.example:444/dicom-web"),
        (_url("10.0.0.1", address="https://pacs.example"), "https://10.0.0.1:8443/dicom-web"),
    ],
)
def test_urls_of_what_is_here_begin_as_the_client_reached_it(given: str, expected: str) -> None:
    assert given == expected
