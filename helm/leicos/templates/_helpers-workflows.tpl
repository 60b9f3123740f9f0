{{/* Settings of a whole workflow. Call with (dict "root" $ "spec" $manifest.spec). */}}
{{- define "leicos.overlayWorkflow" -}}
{{- $workflow := .root.Values.workflow -}}
{{- $spec := .spec -}}
{{- $_ := set $spec "serviceAccountName" .root.Values.serviceAccount.name -}}
{{- $_ := set $spec "ttlStrategy" (dict "secondsAfterSuccess" $workflow.ttlSecondsAfterSuccess "secondsAfterFailure" $workflow.ttlSecondsAfterFailure) -}}
{{- range $field := list "priority" "parallelism" "podGC" -}}
{{- with index $workflow $field -}}
{{- $_ := set $spec $field . -}}
{{- end -}}
{{- end -}}
{{- if .root.Values.images.pullSecrets -}}
{{- $_ := set $spec "imagePullSecrets" (include "leicos.pullSecrets" .root | fromYamlArray) -}}
{{- end -}}
{{- end }}
