{{/* The S3 store: for pods as environment variables, for Argo as an artifact repository. */}}

{{/* host[:port] of the endpoint, as Argo wants it. */}}
{{- define "leicos.storeAddress" -}}
{{- if .Values.store.endpoint -}}
{{ .Values.store.endpoint | trimSuffix "/" | trimPrefix "https://" | trimPrefix "http://" }}
{{- else -}}
s3.amazonaws.com
{{- end -}}
{{- end }}

{{- define "leicos.storePort" -}}
{{- $address := include "leicos.storeAddress" . -}}
{{- if contains ":" $address -}}
{{ $address | splitList ":" | last }}
{{- else if hasPrefix "http://" .Values.store.endpoint -}}
80
{{- else -}}
443
{{- end -}}
{{- end }}

{{/* Keys of the ConfigMap; empty when nothing is to be said. */}}
{{- define "leicos.storeEnvironment" -}}
{{- with .Values.store.endpoint }}
AWS_ENDPOINT_URL: {{ . | trimSuffix "/" | quote }}
{{- end }}
{{- with .Values.store.region }}
AWS_REGION: {{ . | quote }}
AWS_DEFAULT_REGION: {{ . | quote }}
{{- end }}
{{- if .Values.store.caBundle.existingSecret }}
AWS_CA_BUNDLE: /etc/leicos/ca/{{ .Values.store.caBundle.key }}
{{- end }}
{{- end }}

{{/* The artifact repository, one entry of the ConfigMap artifact-repositories. */}}
{{- define "leicos.artifactRepository" -}}
s3:
  bucket: {{ .Values.store.bucket }}
  endpoint: {{ include "leicos.storeAddress" . }}
  {{- if hasPrefix "http://" .Values.store.endpoint }}
  insecure: true
  {{- end }}
  {{- with .Values.store.region }}
  region: {{ . }}
  {{- end }}
  keyFormat: {{ .Values.artifactRepository.keyPrefix }}/{{ "{{workflow.name}}/{{pod.name}}" }}
  {{- if eq .Values.store.credentials "workloadIdentity" }}
  useSDKCreds: true
  {{- else }}
  accessKeySecret:
    name: {{ .Values.store.existingSecret }}
    key: AWS_ACCESS_KEY_ID
  secretKeySecret:
    name: {{ .Values.store.existingSecret }}
    key: AWS_SECRET_ACCESS_KEY
  {{- if .Values.store.sessionToken }}
  sessionTokenSecret:
    name: {{ .Values.store.existingSecret }}
    key: AWS_SESSION_TOKEN
  {{- end }}
  {{- end }}
  {{- with .Values.store.caBundle }}
  {{- if .existingSecret }}
  caSecret:
    name: {{ .existingSecret }}
    key: {{ .key }}
  {{- end }}
  {{- end }}
{{- end }}
