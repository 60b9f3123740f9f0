{{/* The volume with the weights, as pods of a workflow mount it. */}}
{{- define "leicos.cacheVolume" -}}
name: models
{{- if eq .Values.modelCache.kind "image" }}
image:
  reference: {{ .Values.modelCache.image.reference }}
  pullPolicy: {{ .Values.modelCache.image.pullPolicy }}
{{- else }}
persistentVolumeClaim:
  claimName: {{ include "leicos.claimName" . }}
  readOnly: true
{{- end }}
{{- end }}

{{/* Whether the chart fills a claim. */}}
{{- define "leicos.fillsCache" -}}
{{- if and .Values.modelCache.enabled (eq .Values.modelCache.kind "claim") (or .Values.modelCache.models .Values.modelCache.scenes) -}}true{{- end -}}
{{- end }}
