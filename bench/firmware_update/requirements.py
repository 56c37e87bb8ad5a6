"""The requirements that testcases show, by their published IDs.

Source: OMA LwM2M enabler test cases for object 5 (interoperability test IDs).
"""

from __future__ import annotations

REQUIREMENTS = {
    "LightweightM2M-1.0-int-751": "query the readable resources of object 5",
    "LightweightM2M-1.0-int-755": "set the Package resource",
    "LightweightM2M-1.0-int-756": "set the Package URI resource",
    "LightweightM2M-1.0-int-760": "observe the object's state and result",
    "LightweightM2M-1.0-int-770": "successful update, package delivered over CoAP",
    "LightweightM2M-1.0-int-771": "successful update, package delivered by the alternative mechanism",
    "LightweightM2M-1.0-int-772": "Update executed while the package is not downloaded",
    "LightweightM2M-1.0-int-773": "not enough storage for the package",
    "LightweightM2M-1.0-int-774": "out of memory during the download",
    "LightweightM2M-1.0-int-775": "connection lost during the download",
    "LightweightM2M-1.0-int-776": "integrity check of the package fails",
    "LightweightM2M-1.0-int-777": "unsupported package type",
    "LightweightM2M-1.0-int-778": "invalid Package URI",
    "LightweightM2M-1.0-int-779": "unsuccessful update",
}
"""ID -> what is to be shown."""
