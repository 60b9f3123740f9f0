{{/* Full name of a job image. Call with (dict "root" $ "kind" "jobs"). */}}
{{- define "leicos.image" -}}
{{- $image := index .root.Values.images .kind -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "leicos.pullSecrets" -}}
{{- $names := list -}}
{{- range .Values.images.pullSecrets }}{{- $names = append $names (dict "name" .) }}{{- end -}}
{{ toYaml $names }}
{{- end }}
