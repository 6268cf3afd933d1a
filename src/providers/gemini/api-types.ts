/**
 * The wire types of `models/{model}:generateContent`, as far as the gateway uses them, after @google/genai 3.1. What
 * comes back is read with `read-json.ts`.
 */

export interface GenerateContentBody {
  readonly contents: readonly GeminiContent[];
  readonly systemInstruction?: { readonly parts: readonly { readonly text: string }[] } | undefined;
  readonly tools?: readonly { readonly functionDeclarations: readonly GeminiFunction[] }[] | undefined;
  readonly toolConfig?: { readonly functionCallingConfig: GeminiFunctionCalling } | undefined;
  readonly generationConfig?: GeminiGenerationConfig | undefined;
}

export interface GeminiContent {
  readonly role: "user" | "model";
  readonly parts: readonly GeminiPart[];
}

export type GeminiPart =
  | { readonly text: string }
  | { readonly inlineData: { readonly mimeType: string; readonly data: string } }
  | { readonly fileData: { readonly fileUri: string } }
  | {
      readonly functionCall: { readonly name: string; readonly args: unknown };
      readonly thoughtSignature?: string | undefined;
    }
  | { readonly functionResponse: { readonly name: string; readonly response: unknown } };

export interface GeminiFunction {
  readonly name: string;
  readonly description?: string | undefined;
  readonly parametersJsonSchema?: unknown;
}

export interface GeminiFunctionCalling {
  readonly mode: "AUTO" | "ANY" | "NONE";
  readonly allowedFunctionNames?: readonly string[] | undefined;
}

export interface GeminiGenerationConfig {
  readonly maxOutputTokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly stopSequences?: readonly string[] | undefined;
  readonly seed?: number | undefined;
  readonly responseMimeType?: "application/json" | undefined;
  readonly responseJsonSchema?: unknown;
}
