"""Answers, line by line, what the reference verify.py says of a proof; its classes as they are.

A line holds four words: proof, aux hash (little-endian), chain ID, compact target or "-" for structure only.
"""
import importlib.util
import os
import sys

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/vectors/auxpow/verify.py")
spec = importlib.util.spec_from_file_location("verify", PATH)
verify = importlib.util.module_from_spec(spec)
spec.loader.exec_module(verify)


def verdict(proof, aux_hash, chain_id, bits):
    reader = verify.R(proof)
    try:
        parsed = verify.auxpow(reader)
    except (ValueError, AssertionError):
        return "malformed"
    if reader.p != len(proof):
        return "malformed"
    return verify.check(parsed, aux_hash, chain_id, bits, verify.sha)[1]


for line in sys.stdin:
    proof, aux_hash, chain_id, bits = line.rstrip("\n").split(" ")
    target = None if bits == "-" else int(bits)
    print(verdict(bytes.fromhex(proof), bytes.fromhex(aux_hash), int(chain_id), target))
