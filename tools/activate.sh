
# recpipe-environment: what the bare `dagster` commands need to know, unless it is set already.
if [ -z "${DAGSTER_HOME:-}" ]; then
    DAGSTER_HOME="$("$VIRTUAL_ENV/bin/python" -m recpipe.instance)"
    export DAGSTER_HOME
fi

# `dagster asset …` finds definitions through this variable alone; `dagster dev` must not see it, since its webserver
# takes either the variable or the workspace that `dagster dev` hands it, and stops at both.
dagster() {
    case "${1:-}" in
        asset)
            "$VIRTUAL_ENV/bin/python" -m recpipe.defs.partitions  # the YAML files of now are the partitions
            DAGSTER_MODULE_NAME="${DAGSTER_MODULE_NAME:-recpipe.defs.definitions}" command dagster "$@"
            ;;
        *) command dagster "$@" ;;
    esac
}
