{{/* Labels and names that all components share. */}}

{{- define "leicos.labels" -}}
app.kubernetes.io/name: leicos
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The label by which network policies find pods of leicos: workflow pods have it from Hera, the cache's job from the chart. */}}
{{- define "leicos.poolLabel" -}}leicos.dev/pool{{- end }}

{{/* ConfigMap whose keys become environment variables of every pod; its name stands in the rendered manifests. */}}
{{- define "leicos.storeName" -}}leicos-s3{{- end }}

{{- define "leicos.claimName" -}}
{{ .Values.modelCache.claim.existingClaim | default "leicos-models" }}
{{- end }}
