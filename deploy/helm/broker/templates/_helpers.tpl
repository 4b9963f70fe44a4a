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

{{- define "broker.hostNames" -}}
{{- $name := include "broker.name" . }}
{{- $names := list $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) }}
{{- $names = append $names (printf "%s.%s.svc.cluster.local" $name .Release.Namespace) }}
{{- join "," (concat $names .Values.metadata.hostNames) }}
{{- end }}
