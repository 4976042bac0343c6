
# recpipe-environment: what the bare `dagster` commands need to know, unless it is set already.
export DAGSTER_MODULE_NAME="${DAGSTER_MODULE_NAME:-recpipe.defs.definitions}"
if [ -z "${DAGSTER_HOME:-}" ]; then
    DAGSTER_HOME="$("$VIRTUAL_ENV/bin/python" -m recpipe.instance)"
    export DAGSTER_HOME
fi
