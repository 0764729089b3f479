"""Debian's python3-fido2 does with a key what the tests of this package want.

Each line on standard input is a JSON list: the name of a function below, the path of the key's node, and arguments.
Each line on standard output but the first is the function's result as JSON, with bytes in hex, or what the key said
instead: {"error": name}.
"""

import json
import sys
import zlib

from fido2.client import ClientError, Fido2Client
from fido2.ctap import CtapError
from fido2.ctap2 import (
    ClientPin,
    Config,
    CredentialManagement,
    Ctap2,
    FPBioEnrollment,
    LargeBlobs,
)
from fido2.ctap2.bio import CaptureError
from fido2.ctap2.blob import _lb_unpack
from fido2.hid import CtapHidDevice, get_descriptor, open_connection

RP = "example.org"


def info(device):
    i = Ctap2(device).info
    return {
        "versions": i.versions,
        "extensions": i.extensions,
        "options": i.options,
        "aaguid": i.aaguid,
        "maxMsgSize": i.max_msg_size,
        "pinUvAuthProtocols": i.pin_uv_protocols,
        "algorithms": [a["alg"] for a in i.algorithms or []],
        "minPINLength": i.min_pin_length,
        "forcePINChange": i.force_pin_change,
    }


def set_pin(device, pin):
    ClientPin(Ctap2(device)).set_pin(pin)


def change_pin(device, old, new):
    ClientPin(Ctap2(device)).change_pin(old, new)


def pin_retries(device):
    return ClientPin(Ctap2(device)).get_pin_retries()[0]


def uv_retries(device):
    return ClientPin(Ctap2(device)).get_uv_retries()[0]


def with_token(device, kind, permission, pin):
    """Returns one of the classes for managing a key, with a token that the PIN is good for."""
    ctap = Ctap2(device)
    client_pin = ClientPin(ctap)
    token = client_pin.get_pin_token(pin, permission)
    return kind(ctap, client_pin.protocol, token)


def client(device):
    return Fido2Client(device, "https://" + RP, verify=lambda rp_id, origin: True)


def register(device, pin, user, large_blob):
    """Makes a passkey."""
    response = client(device).make_credential(
        {
            "rp": {"id": RP, "name": "Example"},
            "user": {"id": user.encode(), "name": user, "displayName": user.title()},
            "challenge": b"a challenge",
            "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
            "authenticatorSelection": {"requireResidentKey": True},
            "extensions": {"largeBlobKey": large_blob},
        },
        pin=pin,
    )
    data = response.attestation_object.auth_data.credential_data
    return {
        "id": data.credential_id,
        "authData": response.attestation_object.auth_data,
        "clientDataHash": response.client_data.hash,
    }


def sign(device, pin):
    """Signs with every passkey that the key finds, or when pin is null, with a finger."""
    selection = client(device).get_assertion(
        {
            "rpId": RP,
            "challenge": b"a challenge",
            "userVerification": "required",
            "extensions": {"largeBlobKey": True},
        },
        pin=pin,
    )
    return [
        {
            "id": a.credential["id"],
            "authData": a.auth_data,
            "signature": a.signature,
            "clientDataHash": selection.get_response(i).client_data.hash,
            "user": a.user["id"],
            "largeBlobKey": a.large_blob_key,
        }
        for i, a in enumerate(selection.get_assertions())
    ]


def management(device, pin):
    return with_token(device, CredentialManagement, ClientPin.PERMISSION.CREDENTIAL_MGMT, pin)


def passkeys(device, pin):
    manager = management(device, pin)
    result = CredentialManagement.RESULT
    counts = manager.get_metadata()
    return {
        "existing": counts[result.EXISTING_CRED_COUNT],
        "remaining": counts[result.MAX_REMAINING_COUNT],
        "rps": [
            {
                "id": rp[result.RP]["id"],
                "hash": rp[result.RP_ID_HASH],
                "credentials": [
                    {
                        "id": c[result.CREDENTIAL_ID]["id"],
                        "user": c[result.USER]["id"],
                        "name": c[result.USER].get("name", ""),
                        "displayName": c[result.USER].get("displayName", ""),
                        "x": c[result.PUBLIC_KEY][-2],
                        "protection": c.get(result.CRED_PROTECT, 0),
                        "largeBlobKey": c.get(result.LARGE_BLOB_KEY),
                    }
                    for c in manager.enumerate_creds(rp[result.RP_ID_HASH])
                ],
            }
            for rp in manager.enumerate_rps()
        ],
    }


def descriptor(credential_id):
    return {"type": "public-key", "id": bytes.fromhex(credential_id)}


def rename(device, pin, credential_id, user, name):
    management(device, pin).update_user_info(
        descriptor(credential_id), {"id": user.encode(), "name": name, "displayName": name.title()}
    )


def delete(device, pin, credential_id):
    management(device, pin).delete_cred(descriptor(credential_id))


def fingers(device, pin):
    bio = with_token(device, FPBioEnrollment, ClientPin.PERMISSION.BIO_ENROLL, pin)
    return {id.hex(): name for id, name in bio.enumerate_enrollments().items()}


def sensor(device):
    return sorted(FPBioEnrollment(Ctap2(device), None, None).get_fingerprint_sensor_info().items())


def enroll(device, pin, name):
    """Enrols a finger, and returns its ID and what the sensor said of each sample."""
    bio = with_token(device, FPBioEnrollment, ClientPin.PERMISSION.BIO_ENROLL, pin)
    enrollment = bio.enroll()
    said, template = [], None
    while template is None:
        try:
            template = enrollment.capture()
            said.append("FP_GOOD")
        except CaptureError as e:
            said.append(e.code.name)
    bio.set_name(template, name)
    return {"id": template, "said": said}


def cancel_enrolling(device, pin):
    """Gives up after the first sample."""
    bio = with_token(device, FPBioEnrollment, ClientPin.PERMISSION.BIO_ENROLL, pin)
    enrollment = bio.enroll()
    enrollment.capture()
    enrollment.cancel()


def remove_finger(device, pin, template):
    bio = with_token(device, FPBioEnrollment, ClientPin.PERMISSION.BIO_ENROLL, pin)
    bio.remove_enrollment(bytes.fromhex(template))


def blobs(device, pin):
    return with_token(device, LargeBlobs, ClientPin.PERMISSION.LARGE_BLOB_WRITE, pin)


def put_blob(device, pin, key, blob):
    blobs(device, pin).put_blob(bytes.fromhex(key), blob.encode())


def get_blob(device, key):
    """Returns the blob as LargeBlobs gives it, which knows no blobs but those that are compressed with a header."""
    blob = LargeBlobs(Ctap2(device)).get_blob(bytes.fromhex(key))
    return None if blob is None else blob.decode()


def get_raw_blob(device, key):
    """Returns the blob that was compressed without a header, as the specification wants it."""
    for entry in LargeBlobs(Ctap2(device)).read_blob_array():
        try:
            compressed, size = _lb_unpack(bytes.fromhex(key), entry)
        except ValueError:
            continue
        blob = zlib.decompress(compressed, wbits=-15)
        assert len(blob) == size
        return blob.decode()


def delete_blob(device, pin, key):
    blobs(device, pin).delete_blob(bytes.fromhex(key))


def configure(device, pin, min_length, rp_ids, force_change):
    config = with_token(device, Config, ClientPin.PERMISSION.AUTHENTICATOR_CFG, pin)
    config.set_min_pin_length(min_length, rp_ids, force_change)


def toggle_always_uv(device, pin):
    with_token(device, Config, ClientPin.PERMISSION.AUTHENTICATOR_CFG, pin).toggle_always_uv()


def reset(device):
    Ctap2(device).reset()


def run(name, path, *arguments):
    descriptor = get_descriptor(path)
    device = CtapHidDevice(descriptor, open_connection(descriptor))
    try:
        return globals()[name](device, *arguments)
    except CtapError as e:
        return {"error": e.code.name}
    except ClientError as e:
        return {"error": e.cause.code.name if isinstance(e.cause, CtapError) else e.code.name}
    finally:
        device.close()


print('"ready"', flush=True)
for line in sys.stdin:
    print(json.dumps(run(*json.loads(line)), default=lambda b: b.hex()), flush=True)
