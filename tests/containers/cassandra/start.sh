#!/usr/bin/env bash
# cassandra -f -Dname=value ...: in the foreground, the arguments that begin with -D given to Java.
set -euo pipefail
properties=()
for argument in "$@"; do
    case $argument in -D*) properties+=("$argument") ;; esac
done
# shellcheck disable=SC2086  # several options in one variable
exec java @/opt/cassandra/java.options -Xms"${MAX_HEAP_SIZE:-512M}" -Xmx"${MAX_HEAP_SIZE:-512M}" -Xmn"${HEAP_NEWSIZE:-128M}" \
    -XX:+UseSerialGC -XX:+PerfDisableSharedMem ${JVM_EXTRA_OPTS:-} \
    -Dlogback.configurationFile=file:///opt/cassandra/logback.xml -Dcassandra.storagedir=/var/lib/cassandra -Dcassandra-foreground=yes "${properties[@]}" \
    -javaagent:"$(echo /opt/cassandra/lib/jamm-*.jar)" -cp '/opt/cassandra/lib/*' org.apache.cassandra.service.CassandraDaemon
