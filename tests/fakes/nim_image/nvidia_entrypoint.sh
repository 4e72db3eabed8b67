#!/bin/bash
# Stand-in for /opt/nvidia/nvidia_entrypoint.sh, which greets and becomes its arguments.
exec "$@"
