package client

// VerifyWebhookAt is VerifyWebhook at another time.
var VerifyWebhookAt = verifyWebhookAt
