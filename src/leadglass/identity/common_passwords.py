"""What everybody tries first: words, rows of keys, what PACS and their databases are shipped with, and our own name.

Rule: all in lower case, letters for the digits that stand for them; whoever
looks takes them out of a password and judges what is left.
"""

from typing import Final

_GENERAL: Final = (
    "password", "passwort", "passphrase", "passcode", "kennwort", "losung", "motdepasse", "contrasena", "senha",
    "parola", "wachtwoord", "haslo", "salasana", "losenord", "geheim", "secret", "secure", "security", "sicher",
    "sicherheit", "admin", "administrator", "administrateur", "superuser", "supervisor", "sysadmin", "root", "user",
    "username", "benutzer", "guest", "gast", "test", "tester", "testing", "demo", "sample", "example", "beispiel",
    "login", "logon", "signin", "welcome", "willkommen", "bienvenue", "bienvenido", "hallo", "hello", "changeme",
    "changethis", "change", "default", "letmein", "iloveyou", "loveyou", "lovely", "trustno", "whatever", "nothing",
    "qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "yxcvbnm", "zxcvbnm", "qwerty", "qwertz", "azerty", "asdf",
    "qazwsx", "wsxedc", "onetwothree", "abcdefgh", "abc", "monkey", "dragon", "master", "sunshine", "princess",
    "football", "baseball", "basketball", "soccer", "superman", "batman", "spiderman", "pokemon", "starwars",
    "shadow", "michael", "jennifer", "jessica", "charlie", "daniel", "thomas", "jordan", "hunter", "killer", "cheese",
    "flower", "computer", "internet", "server", "backup", "system", "network", "windows", "microsoft", "google",
    "facebook", "oracle", "mysql", "postgres", "postgresql", "mongodb", "docker", "linux", "ubuntu", "debian",
    "sommer", "summer", "winter", "spring", "autumn", "herbst", "fruehling", "fruhling", "monday", "montag", "friday",
    "freitag", "sunday", "sonntag", "january", "januar", "february", "februar", "march", "april", "august",
    "september", "october", "oktober", "november", "december", "dezember", "schatz", "passw", "correcthorse",
    "batterystaple", "horsebattery", "staple", "p455w0rd", "company", "firma", "germany", "deutschland", "schluessel",
    "schalke", "liverpool", "arsenal", "chelsea", "blink", "access", "freedom", "ninja", "mustang", "please",
)  # fmt: skip
"""What is on top of every list of leaked passwords, in a few languages."""

_MEDICAL: Final = (
    "radiology", "radiologie", "radiologia", "radiologist", "radiologe", "roentgen", "rontgen", "xray", "hospital",
    "krankenhaus", "klinikum", "klinik", "clinic", "clinique", "medical", "medizin", "medicine", "medicina", "doctor",
    "doktor", "doc", "patient", "patients", "nurse", "schwester", "health", "healthcare", "imaging", "image",
    "images", "bilder", "archive", "archiv", "dicom", "pacs", "picture", "worklist", "modality", "ultrasound",
    "mammo", "tomography", "viewer", "workstation", "service", "technologist", "referrer", "researcher", "auditor",
    "leadglass", "lead", "glass", "bleiglas",
)  # fmt: skip
"""The words around the product, and of its users' day."""

_VENDORS: Final = (
    "orthanc", "dcm4che", "dcm4chee", "conquest", "clearcanvas", "osirix", "horos", "weasis", "ohif", "oviyam",
    "dicoogle", "kheops", "xnat", "mirth", "keycloak", "wildfly", "tomcat", "jboss", "centricity", "gehealthcare",
    "general", "electric", "philips", "intellispace", "isite", "siemens", "syngo", "healthineers", "agfa", "impax",
    "enterprise", "carestream", "kodak", "vue", "fuji", "fujifilm", "synapse", "sectra", "merge", "mckesson",
    "changehealthcare", "intelerad", "ambra", "infinitt", "visage", "novarad", "dell", "hologic", "toshiba", "canon",
    "hitachi", "esaote", "mindray", "samsung", "medavis", "chili", "visus", "jivex", "dedalus", "efilm", "ramsoft",
    "sante", "medweb", "synedra", "brit", "aspyra", "mach7", "cerner", "epic", "meditech", "nexus", "ibm", "amicas",
)  # fmt: skip
"""Whose products keep images: their names are in the passwords they were shipped with."""

COMMON: Final = frozenset(_GENERAL) | frozenset(_MEDICAL) | frozenset(_VENDORS)
"""Words that count for nothing in a password."""

WHOLE: Final = frozenset(
    {
        "changeit", "secretsecret", "orthanc:orthanc", "admin:admin", "1q2w3e4r5t6y", "q1w2e3r4t5y6", "1qaz2wsx3edc",
        "zaq12wsxcde3", "1qaz!qaz2wsx@wsx", "!qaz2wsx#edc", "qwe123qwe123", "asd123asd123", "123qwe123qwe",
        "q1w2e3r4t5y6u7", "1a2b3c4d5e6f", "a1b2c3d4e5f6", "correct horse battery staple", "to be or not to be",
        "the quick brown fox", "in the beginning", "may the force be with you", "i love you forever",
        "let me in please", "open sesame open", "once upon a time", "all your base are belong to us",
    }
)  # fmt: skip
"""Whole passwords that everybody tries."""
