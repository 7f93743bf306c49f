#!/bin/sh
# embed.sh NAME PATH=FILE...: a C file on standard output that holds the files as NAME_files (src/api/files.h).
set -eu

echo '/* Made by src/api/embed.sh. */'
echo '#include "api/files.h"'
name=$1
shift
n=0
table=
for pair in "$@"; do
    path=${pair%%=*}
    file=${pair#*=}
    case $path in
    *.html) type='text/html; charset=utf-8' ;;
    *.css) type='text/css; charset=utf-8' ;;
    *.js) type='text/javascript; charset=utf-8' ;;
    *.svg) type='image/svg+xml' ;;
    *.json) type='application/json' ;;
    *) echo "embed.sh: no content type for $path" >&2 && exit 1 ;;
    esac
    etag=$(sha256sum "$file" | cut -c 1-32)
    printf '__asm__(".section .rodata\\n.balign 16\\n%s_%d:\\n.incbin \\"%s\\"\\n%s_%d_end:\\n.byte 0\\n.text\\n");\n' \
        "$name" "$n" "$(realpath "$file")" "$name" "$n"
    printf 'extern const char %s_%d[], %s_%d_end[];\n' "$name" "$n" "$name" "$n"
    table="$table    {\"$path\", \"$type\", \"\\\\\"$etag\\\\\"\", ${name}_$n, ${name}_${n}_end},
"
    n=$((n + 1))
done
printf 'const struct embedded_file %s_files[] = {\n%b};\n' "$name" "$table"
printf 'const size_t %s_file_count = %d;\n' "$name" "$n"
