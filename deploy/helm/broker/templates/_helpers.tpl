{{- define "broker.labels" -}}
app.kubernetes.io/name: broker
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "broker.selector" -}}
app.kubernetes.io/name: broker
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "broker.name" -}}
{{- printf "%s-broker" .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end }}
