#!/bin/sh
# Build a program and run it on the sample cases: sh check.sh pairs.c
mkdir -p out && gcc -std=c17 -O2 -o out/tried "$1" -lm || exit 1
for input in cases/*.in; do
    if out/tried <"$input" | cmp -s - "${input%.in}.out"; then echo "$input right"; else echo "$input WRONG"; fi
done
