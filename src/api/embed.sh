#!/bin/sh
# embed.sh PATH=FILE...: a C file on standard output that holds the files, as src/api/files.c serves them.
set -eu

echo '/* Made by src/api/embed.sh. */'
echo '#include "api/files.h"'
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
    *) echo "embed.sh: no content type for $path" >&2 && exit 1 ;;
    esac
    etag=$(sha256sum "$file" | cut -c 1-32)
    printf '__asm__(".section .rodata\\n.balign 16\\nweb_%d:\\n.incbin \\"%s\\"\\nweb_%d_end:\\n.byte 0\\n.text\\n");\n' \
        "$n" "$(realpath "$file")" "$n"
    printf 'extern const char web_%d[], web_%d_end[];\n' "$n" "$n"
    table="$table    {\"$path\", \"$type\", \"\\\\\"$etag\\\\\"\", web_$n, web_${n}_end},
"
    n=$((n + 1))
done
printf 'const struct web_file web_files[] = {\n%b};\n' "$table"
printf 'const size_t web_file_count = %d;\n' "$n"
