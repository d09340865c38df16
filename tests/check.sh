#!/usr/bin/env bash
# Prints the numbers the project watches: unsafe code, lines per file, size of the image.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p target
mapfile -t files < <(find abi xen-rs tests -name '*.rs' -not -path '*/target/*' | sort)

echo "unsafe blocks, functions and implementations by file:"
grep -cE '\bunsafe (\{|fn|impl|extern)|#\[unsafe\(' "${files[@]}" | awk -F: '$2 > 0 { print "  " $2, $1; sum += $2 } END { print "  " sum + 0, "in all" }'
echo "comments that argue for them: $(cat "${files[@]}" | grep -c 'SAFETY:' || true)"

# Tests stand at the bottom of each file, under cfg(test); they are not counted.
awk 'FNR == 1 { counting = 1 } /^#\[cfg\(test\)\]/ { counting = 0 } counting { lines[FILENAME]++ } END { for (file in lines) print lines[file], file }' \
    "${files[@]}" | sort -n > target/file-sizes
awk '{ size[NR] = $1; sum += $1; if ($1 > 800) large[NR] = $2 }
    END { at95 = int(NR * 0.95); if (at95 < 1) at95 = 1
          printf "files: %d, lines without tests: %d, median %d, 95th percentile %d, largest %d\n", NR, sum, size[int((NR + 1) / 2)], size[at95], size[NR]
          for (file in large) print "  over 800 lines: " size[file], large[file] }' target/file-sizes

if [ -e target/xen-rs ]; then
    echo "image: $(stat -c %s target/xen-rs) bytes, $(stat -c %s target/xen-rs.gz) compressed"
    ! command -v size > /dev/null || size target/xen-rs
fi
