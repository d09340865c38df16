# shellcheck shell=bash
# Runs in dom0: the commands of /files/commands.txt by Debian's xl, then the same by ours, then compares what each printed and its exit code.
# Numbers count as equal (domain numbers, times and memory differ between the passes), and so does any number of spaces.
list=/files/commands.txt
debian=/usr/lib/xen-4.20/bin/xl own=/own/xl

# The list speaks of /lab, of a kernel in /boot and of a guest that obeys.
make_files() {
    mkdir -p /lab /boot && ln -sf /guest/vmlinuz /boot/guest.vmlinuz && ln -sf /guest/initrd /lab/idle.initrd || return 1
    local file
    for file in /files/*.cfg; do
        sed 's/^extra = "\(.*\)"/extra = "\1 role=service"/' "$file" > "/lab/${file##*/}" || return 1
    done
}
xl() { timeout 100 "$program" "$@"; }

# pass DIRECTORY: NUMBER.out and NUMBER.rc for every command.
pass() {
    local line number=0
    mkdir -p "$1"
    while read -r line; do
        case $line in
            '' | '#'*) continue ;;
            "$ "*)
                eval "${line#$ }"
                continue
                ;;
        esac
        number=$((number + 1))
        [ $((number % 50)) -ne 0 ] || echo "XL-PASS $1 $number $(uptime_seconds)"
        printf '%s\n' "$line" > "$1/$number.line"
        (eval "${line#\~ }") > "$1/$number.out" 2> "$1/$number.err" < /dev/null
        echo $? > "$1/$number.rc"
    done < "$list"
    [ "$number" -gt 100 ]
}
clean() {
    local name
    program=$debian
    for name in $(xl list | awk 'NR > 2 { print $1 }'); do xl destroy "$name"; done
    xl dmesg -c > /dev/null
    rm -f /tmp/*.img
    [ "$(xl list | wc -l)" -eq 2 ]
}
# Causes, which the libraries print before xl's own line, are in their own words.
shape() { cat "$1.out" "$1.err" | grep -Ev '^((libxl|xc|xl): |$)' | sed -E 's/[r-][b-][p-][s-][c-][d-]/STATE/; s/[0-9a-f]{8}-[0-9a-f-]{27}/UUID/g; s/[0-9]+(\.[0-9]+)?/N/g; s/[[:space:]]+/ /g; s/ $//'; }
is_allowed() { grep -Fxq -- "$1" /files/allowed.txt; }

compare() {
    local number=0 same=0 like=0 allowed=0 different=0 line
    while [ -e "/tmp/debian/$((number + 1)).line" ]; do
        number=$((number + 1))
        line=$(cat "/tmp/debian/$number.line")
        if is_allowed "! $line"; then
            allowed=$((allowed + 1))
            continue
        elif cmp -s "/tmp/debian/$number.rc" "/tmp/own/$number.rc"; then
            if cmp -s "/tmp/debian/$number.out" "/tmp/own/$number.out" && cmp -s "/tmp/debian/$number.err" "/tmp/own/$number.err"; then
                same=$((same + 1))
                continue
            elif [ "${line#\~ }" != "$line" ] || [ "$(shape "/tmp/debian/$number")" = "$(shape "/tmp/own/$number")" ]; then
                like=$((like + 1))
                continue
            elif is_allowed "$line"; then
                allowed=$((allowed + 1))
                continue
            fi
        fi
        different=$((different + 1))
        echo "== $line"
        tail -n 5 "/tmp/debian/$number.err" "/tmp/own/$number.err"
        diff <(shape "/tmp/debian/$number"; sed 's/^/rc /' "/tmp/debian/$number.rc") <(shape "/tmp/own/$number"; sed 's/^/rc /' "/tmp/own/$number.rc")
    done
    echo "XL-COMPARE $number commands, $same the same, $like alike, $allowed allowed to differ, $different different"
    [ "$different" -eq 0 ]
}

start_toolstack
step files make_files
program=$debian
step debian-pass pass /tmp/debian
step clean-between clean
program=$own
step own-pass pass /tmp/own
step clean-after clean
step same compare
