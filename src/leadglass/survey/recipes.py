"""Recipes: how what was found is closed, in plain words, with the settings and commands for what is met in practice.

Rule 1. A check names recipes by their ids, and a test finds each of them here.
Rule 2. What a product cannot do is said, and what closes it from outside instead.
Rule 3. Addresses are those of documentation (RFC 5737): nothing works by being pasted unread.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Step:
    """What is done at one kind of product.

    Parameters
    ----------
    product : str
        ``Orthanc``, ``nginx``, … or ``any``.
    text : str
        In plain words.
    lines : str
        Settings or commands, to be adapted; empty where words are enough.
    """

    product: str
    text: str
    lines: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one thing is closed.

    Parameters
    ----------
    id : str
        What checks call it.
    title : str
        What to do, in a few words.
    why : str
        What it closes, in plain words.
    steps : tuple of Step
        By product.
    """

    id: str
    title: str
    why: str
    steps: tuple[Step, ...]


_GUARD: Final = Step(
    "Leadglass Guard",
    "Guard will stand in front of an archive that cannot protect itself, and asks who calls before anything gets "
    "through. It comes later and is not part of this release: do not plan with it, close the port by a firewall today.",
)


def _nftables(text: str, ports: str, sources: str) -> Step:
    """Give rules that stand for themselves, hold for IPv6 too, and let the machine speak with itself."""
    return Step(
        "Linux (nftables)",
        f"{text} What Docker publishes goes past these rules: publish it on one address instead, see the recipe on "
        "configuration files.",
        "nft add table inet pacs\n"
        "nft 'add chain inet pacs input { type filter hook input priority 0; policy accept; }'\n"
        "nft add rule inet pacs input iif lo accept\n"
        f"nft add rule inet pacs input tcp dport '{{ {ports} }}' ip saddr '{{ {sources} }}' accept\n"
        f"nft add rule inet pacs input tcp dport '{{ {ports} }}' drop\n"
        "nft list ruleset > /etc/nftables.conf",
    )


_FIREWALL_DICOM: Final = (
    _nftables(
        "Let only the devices that use the archive reach it, each by its address.",
        "104, 4242, 11112",
        "192.0.2.10, 192.0.2.11",
    ),
    Step(
        "Windows",
        "In PowerShell as administrator; remove wider rules for the same port, Windows lets through what any rule "
        "allows.",
        "New-NetFirewallRule -DisplayName 'DICOM from devices' -Direction Inbound -Protocol TCP -LocalPort 104,11112"
        " -RemoteAddress 192.0.2.10,192.0.2.11 -Action Allow",
    ),
    Step(
        "any firewall or router",
        "Remove every port forwarding and every rule from the internet to the archive. Who needs images from outside "
        "comes through a VPN or a web door with a login. Then run the survey again from outside.",
    ),
)

_ALL: Final = (
    Recipe(
        "dicom-know-your-callers",
        "Let the archive refuse callers it does not know",
        "An archive that makes an association with anybody is open to whoever can reach its port. A list of known "
        "devices is the least; AE titles can be guessed, so add TLS with certificates.",
        (
            Step(
                "Orthanc",
                "In orthanc.json, list each device with its address, and switch off what is always allowed.",
                '"DicomCheckCalledAet": true,\n"DicomCheckModalityHost": true,\n"DicomAlwaysAllowEcho": false,\n'
                '"DicomAlwaysAllowStore": false,\n"DicomAlwaysAllowFind": false,\n"DicomAlwaysAllowGet": false,\n'
                '"DicomAlwaysAllowMove": false,\n"DicomModalities": {\n  "ct1": {"AET": "CT1", "Host": "192.0.2.10", '
                '"Port": 104,\n          "AllowEcho": true, "AllowStore": true, "AllowFind": false, "AllowMove": false}'
                "\n}",
            ),
            Step(
                "dcm4chee",
                "In the user interface under Configuration, Devices, dcm4chee-arc, Network AE: fill in Accepted "
                "Calling AE Titles for every AE title of the archive, those that nobody uses too.",
                "dcmAcceptedCallingAETitle: CT1\ndcmAcceptedCallingAETitle: WORKSTATION1",
            ),
            Step(
                "Conquest",
                "Releases differ in what they refuse by themselves, and the usual set-up takes everybody. Close its "
                "port by a firewall, see the recipe for firewalls. In acrnema.map, take out every line with a star for "
                "its host: it sends images to whoever asks, and name each destination.",
                "CT1 192.0.2.10 104 un",
            ),
            Step(
                "DCMTK dcmqrscp",
                "In dcmqrscp.cfg no AE title of the AETable may end with ANY: name the hosts of the HostTable.",
                "HostTable BEGIN\nct1 = (CT1, 192.0.2.10, 104)\nHostTable END\nAETable BEGIN\n"
                "ARCHIVE /var/lib/dcmtk/db RW (200, 1024mb) ct1\nAETable END",
            ),
            Step(
                "Leadglass",
                "It takes nobody it does not know. Enrol each device; a plaintext lane is an exception with an end.",
                "leadglass device add CT1 --address 192.0.2.10",
            ),
            _GUARD,
        ),
    ),
    Recipe(
        "dicom-check-called-title",
        "Let the archive refuse calls for an AE title that is not its own",
        "Who answers to every called AE title is found by anybody who tries one.",
        (
            Step("Orthanc", "In orthanc.json.", '"DicomAet": "A-NAME-OF-YOURS",\n"DicomCheckCalledAet": true'),
            Step("DCMTK dcmqrscp", "It answers to the AE titles of its AETable alone: have no more than needed."),
            Step("dcm4chee", "Remove AE titles that nobody uses from Configuration, Devices, dcm4chee-arc."),
            _GUARD,
        ),
    ),
    Recipe(
        "dicom-limit-services",
        "Grant each device only the services that it needs",
        "A modality sends and asks the worklist; it needs neither to search the archive nor to fetch from it.",
        (
            Step(
                "Orthanc",
                "In orthanc.json, per device.",
                '"ct1": {"AET": "CT1", "Host": "192.0.2.10", "Port": 104, "AllowStore": true, "AllowFind": false,\n'
                '        "AllowGet": false, "AllowMove": false}',
            ),
            Step(
                "dcm4chee",
                "Remove Transfer Capabilities that are not needed from each Network AE; keep one AE title for storing "
                "and another one, with its own list of callers, for searching.",
            ),
            Step("DCMTK dcmqrscp", "W instead of RW in the AETable for whom only stores; peers by name, never ANY."),
            Step("Leadglass", "What a device may is said when it is added.", "leadglass device add --help"),
            _GUARD,
        ),
    ),
    Recipe(
        "dicom-tls",
        "Encrypt DICOM with TLS of today",
        "In the clear, and with versions and suites of yesterday, names and images can be read and changed by whoever "
        "is on the way. PS3.15 B.12 names what holds.",
        (
            Step(
                "Orthanc",
                "In orthanc.json. One port speaks TLS or plain DICOM, not both: move devices over together, or run a "
                "second instance for those that cannot.",
                '"DicomTlsEnabled": true,\n"DicomTlsCertificate": "/etc/orthanc/dicom.crt",\n'
                '"DicomTlsPrivateKey": "/etc/orthanc/dicom.key",\n'
                '"DicomTlsTrustedCertificates": "/etc/orthanc/devices.crt",\n"DicomTlsRemoteCertificateRequired": true',
            ),
            Step(
                "dcm4chee",
                "Configuration, Devices, dcm4chee-arc, Network Connection dicom-tls: keep it alone on every AE, with "
                "client certificates asked for; take the connection dicom off.",
                "dicomTLSCipherSuite: TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\ndcmTLSProtocol: TLSv1.2\n"
                "dcmTLSNeedClientAuth: TRUE",
            ),
            Step(
                "DCMTK",
                "storescp knows TLS; dcmqrscp does not in many builds: put a TLS proxy such as stunnel before it, and "
                "let its own port be reached from the same machine alone.",
                "storescp +tls server.key server.crt --require-peer-cert --add-cert-file devices.crt 11112",
            ),
            Step(
                "Conquest", "It has no TLS of its own in the usual builds: put a TLS proxy such as stunnel before it."
            ),
            Step(
                "modalities without TLS",
                "A proxy (stunnel) beside the modality, or a network of their own that nothing else can reach.",
            ),
            _GUARD,
        ),
    ),
    Recipe(
        "dicom-mutual-tls",
        "Ask every device for its certificate",
        "TLS that asks for none encrypts for strangers, too. With certificates on both sides the archive knows who "
        "calls, whatever AE title they give.",
        (
            Step(
                "Orthanc",
                "In orthanc.json; the file holds the certificates of the devices, or of the authority that made them.",
                '"DicomTlsRemoteCertificateRequired": true,\n"DicomTlsTrustedCertificates": "/etc/orthanc/devices.crt"',
            ),
            Step("dcm4chee", "In Network Connection dicom-tls.", "dcmTLSNeedClientAuth: TRUE"),
            Step(
                "DCMTK storescp",
                "",
                "storescp +tls server.key server.crt --require-peer-cert --add-cert-file devices.crt 11112",
            ),
            Step(
                "Leadglass", "It asks always. Devices get theirs when they are enrolled.", "leadglass device enroll CT1"
            ),
            Step(
                "stunnel before any product",
                "In its configuration.",
                "verifyPeer = yes\nCAfile = /etc/stunnel/devices.crt",
            ),
            _GUARD,
        ),
    ),
    Recipe(
        "dicom-tls-only",
        "Close the plaintext port beside the encrypted one",
        "A lock on one of two doors locks nothing: who finds the plain port takes that.",
        (
            Step("Orthanc", "DicomTlsEnabled makes its one port TLS; stop a second instance that is still plain."),
            Step("dcm4chee", "Take the connection dicom off every Network AE, and its port out of the compose file."),
            Step("any firewall or router", "Until then, let nobody but the devices without TLS reach the plain port."),
        ),
    ),
    Recipe(
        "tls-modern",
        "Speak TLS 1.2 and 1.3 only, with suites of today",
        "Old versions and suites can be broken by who listens.",
        (
            Step(
                "nginx",
                "In the server block.",
                "ssl_protocols TLSv1.2 TLSv1.3;\nssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;\n"
                "ssl_prefer_server_ciphers on;",
            ),
            Step("Orthanc, web side", "In orthanc.json; 4 is TLS 1.2 and newer.", '"SslMinimumProtocolVersion": 4'),
            Step(
                "Orthanc, DICOM",
                "From 1.12.4 on, in orthanc.json, with the suites that are to be taken. Releases before speak TLS 1.0 "
                "too, and cannot be told otherwise: a TLS proxy such as stunnel before them.",
                '"DicomTlsMinimumProtocolVersion": 4,\n"DicomTlsCiphersAccepted": ["ECDHE-ECDSA-AES256-GCM-SHA384", '
                '"ECDHE-RSA-AES256-GCM-SHA384",\n    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"]',
            ),
            Step("dcm4chee", "In Network Connection.", "dcmTLSProtocol: TLSv1.2\ndcmTLSProtocol: TLSv1.3"),
            Step("any", "An update of the product, where it knows neither. A TLS proxy before it until then."),
        ),
    ),
    Recipe(
        "renew-certificate",
        "Give the server a certificate that is in force, in its name, from an authority that clients check",
        "With a certificate that nobody can check, nobody notices who sits in between.",
        (
            Step(
                "any",
                "Have one made by your own authority for devices, by a public one for browsers; put its end into a "
                "calendar, or let it renew by itself.",
                "openssl s_client -connect HOST:PORT </dev/null | openssl x509 -noout -subject -issuer -enddate",
            ),
            Step("Leadglass", "It makes its own and renews them; devices are enrolled with theirs."),
        ),
    ),
    Recipe(
        "dicom-user-identity",
        "Do not take a user's name for proof",
        "User identity negotiation (PS3.7 D.3.3.7) proves something only where the archive checks what it is given.",
        (
            Step("dcm4chee", "Configuration, Network AE, User Identity Negotiation: REQUIRED, with Keycloak."),
            Step("any", "Know devices by their certificates; use names in addition."),
        ),
    ),
    Recipe(
        "firewall-dicom",
        "Close the port to everybody but the devices that use it",
        "What cannot be reached cannot be asked. Works for every product and takes minutes.",
        (*_FIREWALL_DICOM, _GUARD),
    ),
    Recipe(
        "firewall-web",
        "Close the web port to everybody who does not need it",
        "Pages and interfaces of an archive are for its own house.",
        (
            _nftables("Adapt ports and networks.", "8042, 8080, 8443", "192.0.2.0/24"),
            Step("any firewall or router", "No forwarding from the internet. Who is outside comes through a VPN."),
        ),
    ),
    Recipe(
        "firewall-shares",
        "Close file shares to everybody but the machines that use them",
        "Shares (FTP, SMB, NFS, rsync) have no place on the internet, and few in a house need them.",
        (
            _nftables("Adapt the addresses.", "21, 111, 139, 445, 873, 2049", "192.0.2.10"),
            Step(
                "Synology",
                "Control Panel, Security, Firewall: allow by address, deny the rest. Switch QuickConnect off.",
            ),
            Step(
                "QNAP", "App QuFirewall: a profile that lets your own subnets through. Switch UPnP and myQNAPcloud off."
            ),
            Step("any firewall or router", "Remove port forwardings, and switch UPnP off so that none comes back."),
        ),
    ),
    Recipe(
        "web-require-login",
        "Ask everybody for a login",
        "What answers without one shows images to whoever knows the address.",
        (
            Step(
                "Orthanc",
                "In orthanc.json. Debian and the images for containers differ in what is on: write it down in any "
                "case. Never a name orthanc with the password orthanc.",
                '"RemoteAccessAllowed": true,\n"AuthenticationEnabled": true,\n'
                '"RegisteredUsers": {"radiology": "a long passphrase of your own"}',
            ),
            Step(
                "dcm4chee",
                "Run the secured images (their tags end with -secure) with Keycloak; the others have no login at all.",
            ),
            Step(
                "nginx",
                "Before what cannot ask by itself. Bind the archive to 127.0.0.1, so that there is no way around.",
                'location / {\n  auth_basic "images";\n  auth_basic_user_file /etc/nginx/people;\n'
                "  proxy_pass http://127.0.0.1:8042;\n}",
            ),
            Step("XNAT, Dicoogle and other viewers", "Switch anonymous or guest access off, and require a login."),
            _GUARD,
        ),
    ),
    Recipe(
        "web-require-tls",
        "Serve web pages by HTTPS alone",
        "A password or an image that goes by HTTP can be read by everybody on the way.",
        (
            Step(
                "nginx",
                "",
                "server { listen 80; return 301 https://$host$request_uri; }\n"
                "server {\n  listen 443 ssl;\n  ssl_certificate /etc/nginx/server.crt;\n"
                "  ssl_certificate_key /etc/nginx/server.key;\n"
                '  add_header Strict-Transport-Security "max-age=31536000" always;\n}',
            ),
            Step(
                "Orthanc",
                "In orthanc.json. The 1.10.1 of Debian 12 breaks down when TLS is spoken: put nginx before it.",
                '"SslEnabled": true,\n"SslCertificate": "/etc/orthanc/server.pem"',
            ),
            Step("dcm4chee", "Use its port 8443, and take 8080 out of the compose file."),
            Step("Synology, QNAP", "Control Panel, Login Portal or System: redirect HTTP to HTTPS."),
        ),
    ),
    Recipe(
        "web-no-listing",
        "Switch directory listings off, and take images out of web folders",
        "A listing is an invitation to fetch everything in it.",
        (
            Step("nginx", "In the location.", "autoindex off;"),
            Step("Apache", "For the directory.", "Options -Indexes"),
            Step(
                "IIS",
                "For the site: Directory Browsing, Disable.",
                "appcmd set config /section:directoryBrowse /enabled:false",
            ),
            Step(
                "Caddy, rclone, Python, Go",
                "Leave browse out of file_server; do not serve files by a program for trials.",
            ),
            Step("Synology, QNAP", "Keep no images below the folder web; stop Web Station / Web Server if unused."),
            Step("any", "Listings off do not protect a file whose name is known: move images elsewhere."),
        ),
    ),
    Recipe(
        "default-passwords",
        "Replace blank and default passwords",
        "They stand in manuals and are tried first.",
        (
            Step(
                "Orthanc",
                "In orthanc.json: RegisteredUsers without orthanc/orthanc, then restart.",
                '"RegisteredUsers": {"radiology": "a long passphrase of your own"}',
            ),
            Step("dcm4chee", "In Keycloak's console: new passwords for root, admin and user of the realm dcm4che."),
            Step("Synology, QNAP", "Disable admin and guest; a person's own account with a second factor instead."),
            Step("any", "Then look into the logs for sign-ins by that account that nobody remembers."),
        ),
    ),
    Recipe(
        "share-require-login",
        "Let shares be read by named accounts alone",
        "Anonymous FTP, guest SMB, open NFS exports and rsync modules give their files to everybody who asks.",
        (
            Step(
                "vsftpd",
                "In vsftpd.conf; better no FTP at all, but SFTP.",
                "anonymous_enable=NO\nlocal_enable=YES\nssl_enable=YES\nforce_local_logins_ssl=YES\n"
                "force_local_data_ssl=YES\nrsa_cert_file=/etc/vsftpd.pem",
            ),
            Step(
                "Samba",
                "In smb.conf.",
                "[global]\n  map to guest = Never\n  restrict anonymous = 2\n  server min protocol = SMB3\n"
                "[images]\n  guest ok = no\n  valid users = @radiology",
            ),
            Step(
                "Windows",
                "In PowerShell as administrator: no guest account, no access for Everyone, encryption for the share.",
                "Disable-LocalUser -Name Guest\nRevoke-SmbShareAccess -Name images -AccountName Everyone -Force\n"
                "Set-SmbShare -Name images -EncryptData $true -Force",
            ),
            Step(
                "NFS (Linux)",
                "In /etc/exports, by address and never *; then exportfs -ra. An address can be taken by others: "
                "krb5p asks who one is.",
                "/srv/images 192.0.2.10(ro,root_squash,sec=krb5p)",
            ),
            Step(
                "NFS (nfs-ganesha)",
                "In the export's block.",
                "Access_Type = NONE;\nCLIENT { Clients = 192.0.2.10; Access_Type = RO; }",
            ),
            Step(
                "rsync",
                "In rsyncd.conf, or better by ssh alone.",
                "[images]\n  hosts allow = 192.0.2.10\n  auth users = backup\n  secrets file = /etc/rsyncd.secrets\n"
                "  list = no",
            ),
            Step(
                "WebDAV (Apache)",
                "For the directory, and HTTPS before it.",
                "AuthType Basic\nAuthName images\nAuthUserFile /etc/apache2/people\nRequire valid-user",
            ),
            Step("WebDAV (nginx, rclone and others)", "A login before it, as for web pages, and HTTPS."),
            Step(
                "S3-style buckets", "Block public access for the account and the bucket; give keys to programs alone."
            ),
            Step(
                "Synology",
                "Control Panel, User & Group: disable guest. File Services: FTP off, no anonymous FTP. Shared Folder, "
                "Edit, Permissions and NFS Permissions: named users and addresses.",
            ),
            Step(
                "QNAP",
                "Control Panel, Privilege, Shared Folders: Guest access right to Deny access. Network & File Services: "
                "FTP off, anonymous login off.",
            ),
        ),
    ),
    Recipe(
        "update-product",
        "Bring the product to a release without the known hole",
        "Holes that are published are tried within days. What a version alone shows may have been mended by whoever "
        "packages it: ask them.",
        (
            Step("Debian, Ubuntu", "", "apt-get update && apt-get install --only-upgrade orthanc dcmtk"),
            Step("containers", "Pin the new release, not latest; pull, and start anew."),
            Step("medical devices", "Ask the vendor in writing, by the number of the advisory, and until when."),
            Step("any", "Until then: let nobody reach it but the machines that have to.", ""),
        ),
    ),
    Recipe(
        "config-secure",
        "Set what the configuration file leaves open",
        "The file says that the service would be open when it is started with it.",
        (
            Step(
                "Orthanc",
                "See the recipes on callers, login and TLS.",
                '"AuthenticationEnabled": true,\n'
                '"DicomCheckCalledAet": true,\n"DicomTlsEnabled": true,\n"SslEnabled": true',
            ),
            Step(
                "docker-compose",
                "Publish ports on one address, and none that only other containers need; no network_mode: host.",
                'ports:\n  - "127.0.0.1:8042:8042"',
            ),
            Step("dcm4chee", "See the recipes on callers, TLS and login; images whose tags end with -secure."),
            Step("DCMTK dcmqrscp", "See the recipe on callers: no AE title of the AETable ends with ANY."),
            Step("Conquest", "See the recipe on callers, and the one for firewalls."),
            Step("any", "No passwords in files that are in a repository or readable by all."),
        ),
    ),
    Recipe(
        "know-your-assets",
        "Find out whose this is",
        "It looks like a decoy, or like something that only pretends to be an archive. If nobody in the house put it "
        "there, somebody else did.",
        (
            Step(
                "any",
                "Ask whoever runs the network and its security; write the answer into the register.",
                "leadglass survey assign SCOPE.toml 192.0.2.10 --unit Security --owner 'the security team'",
            ),
            Step("any", "A decoy of your own is excluded from the scope, so that it raises no alarm at each survey."),
        ),
    ),
    Recipe(
        "look-closer",
        "Look what this is",
        "Something answers that was not expected, or not as it should. That is no proof of a hole.",
        (
            Step(
                "any", "Find its owner (leadglass survey assign), and ask what it is for. Switch off what nobody needs."
            ),
        ),
    ),
)

RECIPES: Final[Mapping[str, Recipe]] = {each.id: each for each in _ALL}
"""Every recipe, by its id."""
