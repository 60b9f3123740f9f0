{{/*
How many pods of each pool run at once, as data of the ConfigMap. Every workflow begins with a pod of the pool cpu; where
that pool is not limited but another is, it gets a number that nobody reaches: Argo 4.1 fails (nil pointer) when it
releases a semaphore in a workflow that holds its run's mutex and has not asked for a semaphore before.
*/}}
{{- define "leicos.concurrency" -}}
{{- $data := dict -}}
{{- range $name, $pool := .Values.pools -}}
{{- with $pool.concurrency -}}
{{- $_ := set $data $name (toString .) -}}
{{- end -}}
{{- end -}}
{{- if and $data (not (hasKey $data "cpu")) -}}
{{- $_ := set $data "cpu" "100000" -}}
{{- end -}}
{{ toYaml $data }}
{{- end }}

{{/*
The same, with the numbers that people put there by hand: a number stays as it is in the cluster until its value of the
chart changes. The annotation remembers what the values said. Without a cluster (helm template) the values stand.
*/}}
{{- define "leicos.concurrencyNow" -}}
{{- $wanted := include "leicos.concurrency" . | fromYaml -}}
{{- $there := lookup "v1" "ConfigMap" .Release.Namespace .Values.semaphores.name -}}
{{- if $there -}}
{{- $live := $there.data | default dict -}}
{{- $said := (($there.metadata.annotations | default dict) | dig "leicos.dev/concurrency" "{}") | fromJson -}}
{{- range $name, $number := deepCopy $wanted -}}
{{- if and (hasKey $live $name) (eq (get $said $name | toString) $number) -}}
{{- $_ := set $wanted $name (get $live $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ toYaml $wanted }}
{{- end }}
