{{/*
Where a pod runs. What Argo's template can say is said there. The rest is a podSpecPatch: the runtime class, the grace
period, and spot or on-demand, because only a patch is evaluated again for each attempt ({{ "{{retries}}" }}: 0 at first).
A patch replaces tolerations as a whole, so each alternative carries the pool's own too.
*/}}
{{- define "leicos.overlayPlacement" -}}
{{- $template := .template -}}
{{- $pool := .pool -}}
{{- range $field := list "nodeSelector" "tolerations" "affinity" "priorityClassName" "schedulerName" -}}
{{- with index $pool $field -}}
{{- $_ := set $template $field . -}}
{{- end -}}
{{- end -}}
{{- $patch := dict -}}
{{- with $pool.runtimeClassName -}}
{{- $_ := set $patch "runtimeClassName" . -}}
{{- end -}}
{{- with $pool.terminationGracePeriodSeconds -}}
{{- $_ := set $patch "terminationGracePeriodSeconds" . -}}
{{- end -}}
{{- $spot := $pool.spot | default dict -}}
{{- if $spot.enabled -}}
{{- $after := $spot.onDemandAfter | default 3 | int -}}
{{- $limit := $template.retryStrategy.limit | toString | atoi -}}
{{- if not (kindIs "invalid" $pool.retries) -}}{{- $limit = $pool.retries | int -}}{{- end -}}
{{- if gt $after $limit -}}
{{- fail (printf "pools.%s.spot.onDemandAfter: %d attempts on spot leave none for on-demand, %s is tried %d times; lower it, or raise pools.%s.retries" .name $after $template.name (add1 $limit) .name) -}}
{{- end -}}
{{- $first := include "leicos.placed" (dict "patch" $patch "pool" $pool "place" $spot) -}}
{{- $then := include "leicos.placed" (dict "patch" $patch "pool" $pool "place" ($spot.onDemand | default dict)) -}}
{{- $_ := set $template "podSpecPatch" (printf "{{=asInt(retries) < %d ? '%s' : '%s'}}" $after $first $then) -}}
{{- else if $patch -}}
{{- $_ := set $template "podSpecPatch" (toJson $patch) -}}
{{- end -}}
{{- end }}

{{/* A patch for one kind of machine as JSON, fit to stand between single quotes in an expression. */}}
{{- define "leicos.placed" -}}
{{- $patch := deepCopy .patch -}}
{{- with .place.nodeSelector -}}
{{- $_ := set $patch "nodeSelector" . -}}
{{- end -}}
{{- with concat (.pool.tolerations | default list) (.place.tolerations | default list) -}}
{{- $_ := set $patch "tolerations" . -}}
{{- end -}}
{{- toJson $patch | replace "\\" "\\\\" | replace "'" "\\'" -}}
{{- end }}
