"""Verifies with Python's cryptography what `keystead ca` made.

Arguments: the root's certificate, the intermediate's, a leaf's, the leaf's private key, a revocation
list. Prints how many certificates the list has.
"""

import sys

from cryptography import x509
from cryptography.hazmat.primitives import serialization


def public_der(key):
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


root, intermediate, leaf, key, revoked = (open(path, "rb").read() for path in sys.argv[1:])
root, intermediate, leaf = map(x509.load_pem_x509_certificate, (root, intermediate, leaf))
root.verify_directly_issued_by(root)
intermediate.verify_directly_issued_by(root)
leaf.verify_directly_issued_by(intermediate)

key = serialization.load_pem_private_key(key, password=None)
assert public_der(key.public_key()) == public_der(leaf.public_key()), "the key is not the leaf's"

revoked = x509.load_pem_x509_crl(revoked)
assert revoked.is_signature_valid(intermediate.public_key()), "the list's signature is wrong"
assert revoked.get_revoked_certificate_by_serial_number(leaf.serial_number), "the leaf is not revoked"
print(len(revoked))
