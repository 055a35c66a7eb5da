#!/usr/bin/env python3
"""Writes shamir.txt: shares made by an implementation that has nothing in common with ours.

Multiplication here is by schoolbook long multiplication and division of polynomials, shares are
values of the polynomial added up power by power. The format is Vault's: the y bytes, then x.
The output doesn't change from run to run.
"""
import hashlib

MODULUS = 0b100011011  # x^8 + x^4 + x^3 + x + 1


def multiply(a, b):
    product = 0
    for bit in range(8):
        if b >> bit & 1:
            product ^= a << bit
    for bit in range(15, 7, -1):
        if product >> bit & 1:
            product ^= MODULUS << (bit - 8)
    return product


def power(a, n):
    result = 1
    for _ in range(n):
        result = multiply(result, a)
    return result


def stream(seed):
    counter = 0
    while True:
        yield from hashlib.sha256(f"{seed}/{counter}".encode()).digest()
        counter += 1


def main():
    print("# made by make_shamir_vectors.py: threshold secret share,share,...")
    for size, shares, threshold in ((32, 5, 3), (32, 2, 2), (32, 10, 10), (1, 3, 2), (64, 7, 4),
                                    (32, 255, 128)):
        numbers = stream(f"{size}/{shares}/{threshold}")
        secret = [next(numbers) for _ in range(size)]
        coefficients = [[next(numbers) for _ in range(threshold - 1)] for _ in range(size)]
        lines = []
        for x in range(255, 255 - shares, -1):
            share = []
            for byte, row in zip(secret, coefficients):
                y = byte
                for exponent, coefficient in enumerate(row, 1):
                    y ^= multiply(coefficient, power(x, exponent))
                share.append(y)
            lines.append(bytes(share + [x]).hex())
        print(threshold, bytes(secret).hex(), ",".join(lines))


if __name__ == "__main__":
    main()
