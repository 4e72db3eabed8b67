# The first process of a container: runs the server, and ends with it, or as soon as the supervisor outside is gone.
# When it ends, the kernel ends everything that is left in the container. Arguments: the server's command.
# File descriptor 3 is a pipe that only the supervisor holds open, so reading from it ends with the supervisor.
"$@" 3<&- &
server=$!
trap 'kill -TERM "$server" 2>/dev/null' TERM
trap 'exit 70' USR1
if [ -p /proc/self/fd/3 ]; then
  { read -r _ <&3; kill -USR1 "$$"; } &
else
  echo "guard: the pipe of the supervisor is not here; should it be killed, this container goes on" >&2
fi
exec 3<&-
# A signal interrupts the wait; the server's own end leaves no such process.
while :; do
  wait "$server"
  status=$?
  kill -0 "$server" 2>/dev/null || exit "$status"
done
