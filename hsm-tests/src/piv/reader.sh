# The reader of one virtual card, in namespaces of its own. Takes a folder and the card's program; then
# commands, a line each, and says "done" after each. It ends, and all it started with it, when there are
# no more.
set -u
folder=$1 card=$2

ip link set lo up
# Acknowledged at once: an exchange with the card is two small packets.
ip route replace local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1 quickack 1
mkdir -p /run/pcscd && mount --bind "$folder/run" /run/pcscd || exit

declare -A running=()

start() {
    "$@" >>"$folder/log" 2>&1 </dev/null &
    running[${1##*/}]=$!
}

stop() {
    kill "-$2" "${running[$1]}" && wait "${running[$1]}"
    unset "running[$1]"
}

while read -r command; do
    case $command in
    pcscd) start pcscd --foreground --info --force-reader-polling --config "$folder/conf" ;;
    no-pcscd) stop pcscd TERM ;;
    card) start "$card" 127.0.0.1:35963 "$folder/card" ;;
    no-card) stop "${card##*/}" KILL ;;
    esac
    echo "done"
done
