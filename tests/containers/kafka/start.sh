#!/usr/bin/env bash
# KAFKA_LOG_DIRS=... becomes log.dirs=..., as in the image that this one stands in for.
set -euo pipefail
file=/etc/kafka/server.properties
env | sed -n 's/^KAFKA_\([A-Z0-9_]*\)=/\1=/p' | grep -v '^HEAP_OPTS=' | while IFS== read -r name value; do
    printf '%s=%s\n' "$(tr 'A-Z_' 'a-z.' <<<"$name")" "$value"
done >"$file"
java=(java ${KAFKA_HEAP_OPTS:-} -XX:+UseSerialGC -XX:-UsePerfData -cp "/opt/kafka/libs/*")
folder=${KAFKA_LOG_DIRS:-/var/lib/kafka/data}
if [ ! -e "$folder/meta.properties" ]; then
    "${java[@]}" kafka.tools.StorageTool format --cluster-id "${CLUSTER_ID:-5L6g3nShT-eMCtK--X86sw}" --config "$file"
fi
exec "${java[@]}" kafka.Kafka "$file"
