# The reader of a virtual card, in namespaces of its own. Takes a folder and the card's program; then
# commands, a line each, and says "done" when it is ready and after each. It ends, and with it all that
# it started, when there are no more.
set -u
folder=$1 card=$2

ip link set lo up || exit
# An exchange with the card is two small packets, each acknowledged at once: else it takes 40 ms.
ip route replace local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1 quickack 1 || exit
# Where pcscd has its socket cannot be chosen.
mkdir -p /run/pcscd && mount --bind "$folder/run" /run/pcscd || exit
echo "done"

while read -r command; do
    case $command in
    pcscd)
        pcscd --foreground --info --force-reader-polling --config "$folder/conf" >&2 </dev/null &
        pcscd=$!
        ;;
    no-pcscd) kill -TERM "$pcscd" && wait "$pcscd" ;;
    card)
        "$card" 127.0.0.1:35963 "$folder/card" >&2 </dev/null &
        inserted=$!
        ;;
    no-card) kill -KILL "$inserted" 2>/dev/null; wait "$inserted" ;;
    esac
    echo "done"
done
