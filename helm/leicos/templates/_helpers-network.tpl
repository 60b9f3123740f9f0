{{/* An egress rule. Call with (dict "cidrs" (list ...) "ports" (list ...)). */}}
{{- define "leicos.egress" -}}
- to:
    {{- range .cidrs }}
    - ipBlock:
        cidr: {{ . | quote }}
    {{- end }}
  ports:
    {{- range .ports | uniq }}
    - {protocol: TCP, port: {{ int . }}}
    {{- end }}
{{- end }}
