{{/* Refusals: what is unset and needed. Each names the value and what to do. */}}
{{- define "leicos.checks" -}}
{{- $values := .Values -}}
{{- if and $values.backends.cosmos.enabled (not $values.backends.cosmos.licenceAccepted) -}}
{{- fail "backends.cosmos.licenceAccepted: read the NVIDIA Open Model License of the Cosmos weights and the terms of their guardrails, then set it to true (or backends.cosmos.enabled to false)" -}}
{{- end -}}
{{- if and $values.backends.isaac.enabled (not $values.backends.isaac.eulaAccepted) -}}
{{- fail "backends.isaac.eulaAccepted: read the NVIDIA Isaac Sim licence agreement, then set it to true (or backends.isaac.enabled to false)" -}}
{{- end -}}
{{- if and (or $values.backends.cosmos.enabled $values.backends.gr00t.enabled) (not $values.modelCache.enabled) -}}
{{- fail "modelCache.enabled: Cosmos and GR00T-Dreams need their weights and pods are offline; set it to true and list modelCache.models" -}}
{{- end -}}
{{- if and (or $values.backends.cosmos.enabled $values.backends.gr00t.enabled) (not $values.pools.train.sharedMemory) -}}
{{- fail "pools.train.sharedMemory: the loaders of Cosmos's and GR00T-Dreams' training share batches through /dev/shm, and a runtime's 64 MiB end in a bus error; say for example 16Gi (it counts as the pod's memory)" -}}
{{- end -}}
{{- if $values.modelCache.enabled -}}
{{- include "leicos.checkCache" . -}}
{{- end -}}
{{- if and $values.artifactRepository.create (eq $values.store.credentials "secret") $values.store.bucket (not $values.store.existingSecret) -}}
{{- fail "store.existingSecret: name the Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or set store.credentials to workloadIdentity" -}}
{{- end -}}
{{- if and $values.store.sessionToken (eq $values.store.credentials "workloadIdentity") -}}
{{- fail "store.sessionToken: pods with a workload identity have their own tokens; set it to false, or store.credentials to secret" -}}
{{- end -}}
{{- if and $values.store.encryption.kmsKeyId (not (hasPrefix "aws:kms" $values.store.encryption.type)) -}}
{{- fail "store.encryption.type: a key of KMS is named in store.encryption.kmsKeyId; set the type to aws:kms" -}}
{{- end -}}
{{- if and $values.quota.enabled (not $values.quota.hard) -}}
{{- fail "quota.hard: say what is limited, for example requests.nvidia.com/gpu: 16, or set quota.enabled to false" -}}
{{- end -}}
{{- range $name, $pool := $values.pools -}}
{{- $spot := $pool.spot | default dict -}}
{{- if and $spot.enabled (not $spot.nodeSelector) (not $spot.tolerations) -}}
{{- fail (printf "pools.%s.spot.nodeSelector: say by labels or tolerations which nodes are spot nodes" $name) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "leicos.checkCache" -}}
{{- $cache := .Values.modelCache -}}
{{- if eq $cache.kind "image" -}}
{{- if not $cache.image.reference -}}
{{- fail "modelCache.image.reference: name the OCI image with the weights, or set modelCache.kind to claim" -}}
{{- end -}}
{{- else -}}
{{- if and (not $cache.models) (not $cache.scenes) (not $cache.claim.existingClaim) -}}
{{- fail "modelCache.models: list the models with their revisions (README, section Model cache), or name a claim that you have filled in modelCache.claim.existingClaim" -}}
{{- end -}}
{{- range $cache.models -}}
{{- if and (hasPrefix "nvidia/cosmos" (lower .repository)) (not $.Values.backends.cosmos.licenceAccepted) -}}
{{- fail (printf "backends.cosmos.licenceAccepted: modelCache.models lists %s; read the NVIDIA Open Model License of the Cosmos weights, then set it to true" .repository) -}}
{{- end -}}
{{- if and .gated (not $.Values.huggingFace.existingSecret) -}}
{{- fail (printf "huggingFace.existingSecret: %s is gated; name the Secret with a token of an account that was granted access" .repository) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
