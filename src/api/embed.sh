#!/bin/sh
# embed.sh NAME FOLDER PATH=FILE...: a C file on standard output that holds the files, plain and compressed (into FOLDER),
# as NAME_files (src/api/files.h).
set -eu

echo '/* Made by src/api/embed.sh. */'
echo '#include "api/files.h"'
name=$1
folder=$2
shift 2
mkdir -p "$folder"
n=0
table=

# incbin SYMBOL FILE: SYMBOL and SYMBOL_end around its bytes
incbin() {
    printf '__asm__(".section .rodata\\n.balign 16\\n%s:\\n.incbin \\"%s\\"\\n%s_end:\\n.byte 0\\n.text\\n");\n' \
        "$1" "$(realpath "$2")" "$1"
    printf 'extern const char %s[], %s_end[];\n' "$1" "$1"
}

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
    gzip -9 -n -c "$file" >"$folder/${name}_$n.gz"
    incbin "${name}_$n" "$file"
    incbin "${name}_${n}_gz" "$folder/${name}_$n.gz"
    table="$table    {\"$path\", \"$type\", \"\\\\\"$etag\\\\\"\", ${name}_$n, ${name}_${n}_end, ${name}_${n}_gz, ${name}_${n}_gz_end},
"
    n=$((n + 1))
done
printf 'const struct embedded_file %s_files[] = {\n%b};\n' "$name" "$table"
printf 'const size_t %s_file_count = %d;\n' "$name" "$n"
