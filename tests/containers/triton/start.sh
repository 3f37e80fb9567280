#!/usr/bin/env bash
# The server of the wheel, with the backends of this image.
set -euo pipefail
exec /opt/tritonserver/bin/tritonserver --backend-directory=/opt/backends --allow-gpu-metrics=false "$@"
