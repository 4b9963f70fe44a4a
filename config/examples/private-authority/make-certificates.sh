#!/bin/sh
# An authority of one's own and the broker's certificate, in this folder. Usage: make-certificates.sh [NAME OR ADDRESS]
set -eu
umask 077
name=${1:-127.0.0.1}
case $name in *[!0-9.]*) kind=DNS ;; *) kind=IP ;; esac
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=the broker's authority" \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign -keyout authority.key -out authority.pem
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" -keyout broker.key -out broker.csr
printf 'subjectAltName=%s:%s\nextendedKeyUsage=serverAuth\n' "$kind" "$name" > broker.extensions
openssl x509 -req -in broker.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 365 \
  -extfile broker.extensions -out broker.pem
